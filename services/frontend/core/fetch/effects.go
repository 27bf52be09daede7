package fetch

import (
	"math"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Event is something that a fetch reacts to: [Moved], [Word], [SendFailed],
// [Disconnected] or [Closed], or the answer to a question: [LookedUp], [Entries],
// [Loaded], [Failed] or [Deleted].
type Event any

// Moved is the first or a new state of what is known of the log's end.
type Moved struct{ Known Known }

// Control is what the consumer of a paced fetch has published to its reply subject. Err
// is set if the header block of the message was malformed.
type Control struct {
	Data []byte
	Err  *protocol.Error
}

// SendFailed reports that a message of the last step could not be sent; nor were
// those behind it. The shell MUST report it before it does anything else that the
// step asks for.
type SendFailed struct {
	Message int // its index in Effects.Send
	Err     *protocol.Error
}

// Disconnected reports that the frontend has lost its connection to NATS for a while:
// messages to the consumer and its credits may be lost.
type Disconnected struct{}

// Closed ends the fetch from outside: the frontend stops or was replaced, or the
// partition was deleted. Why is what the consumer is answered, which says whether it
// may continue elsewhere.
type Closed struct{ Why *protocol.Error }

// Question is what a fetch needs before it can continue: [LookUp], [Read], [Load] or
// [IsDeleted]. One question is open at a time. Each is answered by one event.
type Question any

// LookUp asks the leader of the log for its state, so that everything acknowledged
// before is within it. The answer is LookedUp or Failed.
type LookUp struct{}

// LookedUp answers a LookUp.
type LookedUp struct{ State LogState }

// Read asks for entries of the log, the first of them at sequence From, or above it if
// the log has a hole there. The answer has one to Limit entries; or it is Failed, with
// the code CORRUPT if the entry at From cannot be decoded.
type Read struct {
	From  uint64
	Limit int
}

// Entries answers a Read. The core does not change them.
type Entries struct{ Entries []messages.LoggedEntry }

// Load asks for payloads. The answer has one for each extent.
type Load struct{ Extents []messages.Extent }

// Loaded answers a Load.
type Loaded struct{ Payloads []Payload }

// Payload is the checked content of an extent, or why there is none: CORRUPT if what
// is stored is damaged or missing.
type Payload struct {
	Bytes []byte
	Err   *protocol.Error
}

// IsDeleted asks whether the topic was deleted. It is asked before a fetch fails: the
// log of a deleted topic may be gone before the frontend learns of the deletion. The
// answer is Deleted.
type IsDeleted struct{}

// Deleted answers IsDeleted.
type Deleted struct{ Deleted bool }

// Failed answers a LookUp, Read or Load that could not be done.
type Failed struct{ Err *protocol.Error }

// Effects is what the shell does after a step, in the order of the fields. They are
// valid until the next step.
type Effects struct {
	Send []Message
	// Confirm says that the consumer waits and the message of a commit may be lost. If
	// [LogEnd.Confirm] agrees, the log's state is to be looked up.
	Confirm bool
	Ask     Question // nil if there is no new one
	// More says that the core has more to do and is to be stepped again at once.
	More bool
	// Wake is when to step again although nothing has happened; zero is never.
	Wake time.Time
	// End is the last status. The fetch is over: no step follows, and nothing else is
	// to be done.
	End *Status
}

// Message is a record, a batch frame or a status for the consumer.
type Message struct {
	Status *Status // nil for a record or a frame

	Offset  int64 // of the record, or of the first one of the frame
	Time    time.Time
	Headers []protocol.Header // of a record
	Data    []byte            // the record's value, or the frame
	Records uint32            // of a frame; 0 for a record

	from int64 // where the fetch stood before the message
}

// Unknown stands for an offset that a status does not name.
const Unknown = math.MinInt64

// Status is a message without records.
type Status struct {
	Code        string // one of protocol's Status constants, or that of the error
	Description string
	Err         *protocol.Error // nil unless a fetch has failed

	Next int64 // where the consumer continues, or Unknown
	End  int64 // the end of the partition, or Unknown
	// GapFrom to GapTo are offsets without records, or with records that cannot be
	// read. GapFrom is Unknown in any other status; GapTo is Unknown if nothing behind
	// GapFrom can be read.
	GapFrom, GapTo int64
}

// Refuse returns the status for a request that starts no fetch.
func Refuse(err *protocol.Error, known Known) Status {
	s := Status{Code: err.Code.FetchStatus(), Description: err.Error(), Err: err, Next: Unknown, End: Unknown, GapFrom: Unknown, GapTo: Unknown}
	if known.Valid {
		s.End = known.Offset
	}
	return s
}
