// Package fetch decides what a consumer that fetches from a partition is sent, and why
// its fetch ends. It owns the life of one fetch: where it starts, what is delivered
// next, when it waits, heartbeats and credit, limits, gaps, damage, and the last
// status. It does no I/O, reads no clock and starts no goroutine.
//
// A [Core] is stepped with what has happened and the time. It returns [Effects]:
// messages to send, and at most one [Question] about the log or its payloads, whose
// answer is an event of a later step. The shell around the core answers the questions
// and may cache, read ahead and pool to answer them faster. Reduced to the essential, a
// shell is this loop:
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
//		case fetch.Read:
//			events = []fetch.Event{fetch.Entries{Entries: read(q.From, q.Limit)}}
//		case fetch.Load:
//			events = []fetch.Event{fetch.Loaded{Payloads: load(q.Extents)}}
//		case fetch.IsDeleted:
//			events = []fetch.Event{fetch.Deleted{Deleted: isDeleted()}}
//		case nil:
//			if !fx.More {
//				events = wait(fx.Wake) // for words, commits, the end of the service
//			}
//		}
//	}
//
// All fetches of a partition share a [LogEnd], which is what the frontend knows of the
// end of the log. The shell MUST pass it to a fetch as [Moved] whenever it changes, and
// in any case before the answer to a [LookUp].
//
// What holds for every fetch, whatever the log, the limits and the answers are:
//
//   - From where a fetch starts, each record up to its last status is sent exactly once
//     and in the order of the offsets. Offsets without records are reported as gaps.
//   - Records that are in the log, or may be, and cannot be read end the fetch with an
//     error that names them. None is skipped silently.
//   - The last status names where the consumer continues: right behind what was sent, or
//     behind what cannot be read.
package fetch
