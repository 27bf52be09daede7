package fetch

import (
	"math"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Event is an input of a fetch: [Moved], [Control], [SendFailed], [Disconnected] or [Closed],
// or the answer to a question: [LookedUp], [Narrowed], [Entries], [Loaded], [Failed] or [Deleted].
type Event any

// Moved reports the known end of the log, at the start of a fetch and after each change.
type Moved struct{ Known Known }

// Control is a message that the consumer of a paced fetch publishes to the reply subject of
// the fetch's messages: a credit or a cancellation. Err is set if the header block of the
// message is malformed.
type Control struct {
	Data []byte
	Err  *protocol.Error
}

// SendFailed reports that a message of the last step could not be sent. The messages after
// it MUST NOT be sent either, and the shell MUST report this before it does anything else
// that the step asks for.
type SendFailed struct {
	Message int // its index in Effects.Send
	Err     *protocol.Error
}

// Disconnected reports that the frontend has lost its connection to NATS for a while:
// messages to the consumer and its credits may be lost.
type Disconnected struct{}

// Closed ends the fetch from outside: the frontend stops or was replaced, or the partition
// was deleted. Why is the error for the consumer. If it is retryable, the consumer continues
// with another frontend.
type Closed struct{ Why *protocol.Error }

// Question is what a fetch needs before it can continue: [LookUp], [Narrow], [Read], [Load] or
// [IsDeleted]. One question is open at a time. Each is answered by one event. While a question
// that needs the object store is open, steps may send heartbeats.
type Question any

// LookUp asks for the state of the log. The answer is LookedUp or Failed. The shell MUST ask
// the leader of the log's stream, so that the state includes every record acknowledged
// before the question.
type LookUp struct{}

// LookedUp answers a LookUp.
type LookedUp struct{ State LogState }

// Narrow asks in which entries of the history the search for an offset, or for a time if Time is
// not nil, can end. It is about the entries from Low up to, but not including, Above, which are
// all in the history, and whose times rise. Beyond is how many bytes the fetch will load from there,
// as in Load: if a segment begins at the offset, the shell can read them at the same time.
type Narrow struct {
	History    messages.History
	Offset     int64
	Time       *time.Time
	Low, Above uint64
	Beyond     int64
}

// Narrowed answers a Narrow: what is searched for is not below Low, and every entry from Above on
// is behind it. First is the first entry of the history. It may be below the log start offset,
// because only whole segments are removed.
type Narrowed struct {
	First      uint64
	Low, Above uint64
}

// Read asks for entries of the log from sequence From on. The answer has between one
// and Limit entries, without holes between them. The first one has a higher sequence than
// From only if the log has a hole there. If the read fails, the answer is Failed; its code is
// CORRUPT if and only if the entry at From cannot be decoded.
//
// If History has anything archived, From is in it, and the entries are read from the history
// instead of the stream, which may no longer have them. The answer then has no entry behind the
// end of the history.
type Read struct {
	From    uint64
	Limit   int
	History messages.History
}

// Entries answers a Read. The core does not modify the entries, which may be shared.
type Entries struct{ Entries []messages.LoggedEntry }

// Load asks for payloads. The answer has one payload for each extent, in the same order. If
// Unpack is set, the core decompresses the payloads that are compressed. The shell then bounds
// how many fetches do so at the same time, until the core has nothing more to do. Ahead lists
// the extents of the next loads if the consumer keeps up, so that the shell can read them from a
// slow store at the same time. Beyond is how many bytes the fetch will load after Extents if its
// consumer keeps up, at most: in a segment, the batches of a partition follow each other, so the
// shell need not know their extents to read them.
type Load struct {
	Extents []messages.Extent
	Unpack  bool
	Ahead   []messages.Extent
	Beyond  int64
}

// Loaded answers a Load. Random is a number in [0, 1). If a payload has a temporary error, it
// spreads the loads of fetches for which the store has failed at the same time.
type Loaded struct {
	Payloads []Payload
	Random   float64
}

// Payload is the content of an extent, or why there is none. The shell MUST have compared
// the content with the checksum of the extent. Err has the code CORRUPT if the content is
// damaged or missing. After any other error the core loads the payload again. The shell MUST
// read content that does not match the checksum several times before it calls it damaged.
type Payload struct {
	Bytes []byte
	Err   *protocol.Error
}

// IsDeleted asks whether the topic was deleted. The answer is Deleted. The core asks this
// before a fetch fails: the log of a deleted topic may be gone before the frontend has
// received the deletion.
type IsDeleted struct{}

// Deleted answers IsDeleted.
type Deleted struct{ Deleted bool }

// Failed answers a LookUp, Narrow or Read that could not be done. With the code STORE_UNAVAILABLE
// the question is asked again later, and Random is as in Loaded.
type Failed struct {
	Err    *protocol.Error
	Random float64
	// Next is where the damage of a history ends, if Err is CORRUPT: the next entry that may be
	// readable, and the first offset in it. It is zero if that is not known.
	Next messages.Position
}

// Effects is what the shell does after a step, in the order of the fields. They are
// valid until the next step.
type Effects struct {
	Send []Message
	// Confirm is set when the fetch waits and a Committed message may have been lost. If
	// [LogEnd.Confirm] returns true, the shell looks up the log's state.
	Confirm bool
	Ask     Question // nil if there is no new one
	// More is set if the core has more to do. The shell steps it again at once.
	More bool
	// Wake is when to step again without an event; zero is never.
	Wake time.Time
	// End is the last status. The fetch is over: the other fields are empty, and Step MUST
	// NOT be called again.
	End *Status
}

// Message is a record, a batch frame or a status for the consumer.
type Message struct {
	Status *Status // nil for a record or a frame

	Offset  int64 // of the record, or of the first one of the frame
	Time    time.Time
	Headers []protocol.Header // of a record
	Data    []byte            // the record's value, or the frame, which may have several batches
	Records uint32            // of a frame; 0 for a record
	Start   int64             // as in Status

	from  int64 // offset of the fetch before the message
	plain bool  // whether batches may be joined to the frame
}

// Unknown stands for an offset that a status does not name.
const Unknown = math.MinInt64

// Status is a message without records.
type Status struct {
	Code        string // one of protocol's Status constants, or that of the error
	Description string
	Err         *protocol.Error // nil unless a fetch has failed

	// Start is the offset at which the fetch has started. It is Unknown if the request names
	// the offset, and before the first message with one. Without Start, the consumer of a
	// fetch from a time or an end of the log could not notice that the first messages are
	// lost.
	Start int64

	Next int64 // where the consumer continues, or Unknown
	End  int64 // the end of the partition, or Unknown
	// LogStart is the first offset of the partition if the requested one is not within it, and
	// otherwise Unknown.
	LogStart int64
	// GapFrom to GapTo are offsets without records, or with records that cannot be read.
	// GapFrom is Unknown in any other status. GapTo is Unknown if no record after GapFrom
	// can be read.
	GapFrom, GapTo int64
}

// newStatus returns a status that names no offset.
func newStatus(code, description string) Status {
	return Status{
		Code: code, Description: description,
		Start: Unknown, Next: Unknown, End: Unknown, LogStart: Unknown, GapFrom: Unknown, GapTo: Unknown,
	}
}

// Refuse returns the status for a request that starts no fetch.
func Refuse(err *protocol.Error, known Known) Status {
	s := newStatus(err.Code.FetchStatus(), err.Error())
	s.Err = err
	if known.Valid {
		s.End = known.Offset
	}
	return s
}
