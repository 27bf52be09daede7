// Package fetch decides what a fetch sends to its consumer, and why it ends. It owns the
// life of one fetch: where it starts, what is delivered next, when it waits, heartbeats
// and credit, limits, gaps, damage, and the last status. It does no I/O, reads no clock
// and starts no goroutine.
//
// How much is sent next is decided in load (deliver.go): the batches that fit into the
// smallest of the consumer's credit (pace.go), the limits of the request, and MaxRange. If not
// even the first one fits, it is sent alone, unless a limit of the request forbids it.
//
// A [Core] is stepped with events and the time. It returns [Effects]: messages to send,
// and at most one [Question] about the log or its payloads. The answer is an event of a
// later step. The shell around the core answers the questions; it may use caches and
// read ahead to answer them faster. In its simplest form, a shell is this loop:
//
//	c := fetch.New(partition, request, settings, time.Now())
//	var events []fetch.Event
//	for {
//		fx := c.Step(time.Now(), events)
//		events = nil
//		if fx.End != nil {
//			return sendStatus(fx.End) // the fetch is over
//		}
//		if i, err := send(fx.Send); err != nil {
//			events = []fetch.Event{fetch.SendFailed{Message: i, Err: err}}
//			continue // nothing else of the step is done
//		}
//		switch q := fx.Ask.(type) {
//		case fetch.LookUp:
//			state := lookUp()
//			events = []fetch.Event{fetch.Moved{Known: known()}, fetch.LookedUp{State: state}}
//		case fetch.Narrow:
//			events = []fetch.Event{narrowed(q)}
//		case fetch.Read:
//			events = []fetch.Event{fetch.Entries{Entries: read(q.From, q.Limit, q.History)}}
//		case fetch.Load:
//			events = []fetch.Event{fetch.Loaded{Payloads: load(q.Extents), Random: rand.Float64()}}
//		case fetch.IsDeleted:
//			events = []fetch.Event{fetch.Deleted{Deleted: isDeleted()}}
//		case nil:
//			if !fx.More {
//				events = wait(fx.Wake) // for control messages, commits, the end of the service
//			}
//		}
//	}
//
// All fetches of a partition share a [LogEnd], which is what the frontend knows of the
// end of the log. The shell MUST pass it to a fetch as [Moved] whenever it changes, and
// in any case before the answer to a [LookUp].
//
// # The start of a fetch
//
// A fetch starts at an offset, at the first or next record, or at a time. An offset or a
// time is located by binary search. Entries are sorted by offset everywhere, and by time
// within a stretch of entries with rising times. The core looks up the log's state, then
// halves the range with each entry that it reads, until one is left. Example: a log has the
// entries 1 to 1,000, and a fetch asks for offset 40,000. The core reads entry 501, which
// ends at offset 26,000, then entry 751, which ends at 41,000, then 626, and so on. About
// ten reads find the first entry that ends above 40,000.
//
// If a part of the log is archived, the index of the history names the few entries to search, so
// that a search needs few requests to a remote store.
//
// A damaged entry must not hide the records elsewhere. If the entry in the middle cannot be
// read, the search uses one of the next few instead. If the search ends next to damaged
// entries, the fetch starts at the damage and reports it.
//
// # Invariants
//
// These hold for every fetch, whatever the log, the limits and the answers are:
//
//   - From the start of a fetch to its last status, each record is sent exactly once, in the
//     order of the offsets. Offsets without records are reported as gaps.
//   - A fetch ends with an error at records that are in the log, or may be, and cannot be
//     read. The error names them. No record is skipped silently.
//   - The last status names where the consumer continues: after the last record that was
//     sent, or after the records that cannot be read.
package fetch
