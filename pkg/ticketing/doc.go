// Package ticketing keeps batches in the order in which they arrived, although
// their uploads finish in any order. It is pure: it starts no goroutines, does
// no I/O, and receives the time as an argument.
//
// Two types share the work, one at each end of the upload:
//
//   - An [Issuer] belongs to a frontend. It issues a ticket to each batch before
//     anything asynchronous happens to the batch, and returns answers in ticket
//     order.
//   - A [Lane] belongs to a sequencer. It holds staged results until every
//     earlier ticket of the lane was released or resolved.
//
// The two are connected by the floor, the lowest ticket number of a lane that
// the issuer has not resolved. The floor is cumulative and never falls. This
// one number cancels, aborts and acknowledges tickets, so a lost message needs
// no repair of its own: the next message about the lane carries the floor
// again.
//
// An example with one lane. The frontend issues tickets 1 and 2, and the upload
// of 2 finishes first:
//
//	Issue("a")              number 1, floor 1
//	Issue("a")              number 2, floor 1
//	Staged(2, floor 1)      nothing is released: 2 waits for 1
//	Staged(1, floor 1)      releases 1 and 2
//	Settle("a", 2)          nothing is answered: the answer to 1 comes first
//	Settle("a", 1)          answers 1 and 2; the lane is empty and is forgotten
//
// No type is safe for concurrent use: each value belongs to one actor. In
// builds with the tag "assertions" the package checks its invariants and panics
// if one is broken.
package ticketing
