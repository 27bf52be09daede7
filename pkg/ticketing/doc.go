// Package ticketing keeps batches in the order in which they arrived while
// their uploads finish in any order. It is pure: no goroutines, no I/O, and
// time is passed in.
//
// An [Issuer] hands out a lane's tickets, synchronously, before anything
// asynchronous happens to the batch, and lets answers leave in ticket order. A
// [Lane] holds staged results until every earlier ticket is out. What connects
// the two is the floor: the lowest number of a lane that its issuer has not
// resolved. One cumulative, idempotent number does the work of cancel, abort
// and acknowledgement, and any lost message is repaired by the next one.
//
// None of the types is safe for concurrent use: each value belongs to one
// actor. Built with the tag "assertions", the package checks its invariants
// and panics when one is broken.
package ticketing
