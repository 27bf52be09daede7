// Package scripted takes a simulated world through a schedule that a script describes, and
// returns what happens as text. The scripts in testdata, with that text, explain the
// protocol by example. Each begins with what it shows.
//
// Nothing takes time unless a script says so. After each command, all messages, uploads,
// appends and answers arrive in the order in which they were sent, until only things that
// wait for time are left. A script stops some of them with hold, and decides later
// whether they arrive or are lost. It can therefore describe any schedule, also one that
// the other schedulers never draw.
//
// The commands are:
//
//	start ROLE ...           starts a process of each role, after those that run
//	client plain|idempotent  starts a client
//	produce CLIENT [records=N] [to=FRONTEND]
//	                         sends a batch, by default to the newest frontend
//	consumer [from=earliest|latest] [offset=N] [window=BYTES] [follow]
//	                         starts a consumer, with the newest frontend
//	archive [snapshots=N]    before all else: replicators archive every batch at once, save a
//	                         snapshot every N entries, and purge
//	hold KIND [from=NAME] [to=NAME]
//	                         from now on, what is of this kind does not arrive
//	deliver KIND [from=NAME] [to=NAME] [newest]
//	                         what is held arrives, all of it or only the newest
//	pass KIND [from=NAME] [to=NAME]
//	                         ends a hold; what is held arrives
//	lose KIND [from=NAME] [to=NAME]
//	                         ends a hold; what is held is lost
//	kill PROCESS             ends a process with all that it knows
//	hang PROCESS             a process handles nothing until it wakes
//	wake PROCESS             it handles what has arrived meanwhile
//	wait DURATION            lets time pass
//	log                      returns the records in the log
//	end                      lets everything arrive and time pass until all is resolved
//
// A kind is a type of package messages, such as Stage, or one of request, answer, upload,
// append, acknowledgement, read, announcement, job, snapshot and purge; of fetches: fetch, question, frame, status
// and credit. With the argument brief, a command returns only what processes and clients do,
// without the messages between them.
//
// This is a scheduler of its own, because the other two would make scripts longer. In package
// random every message has a latency, so that a script would have to name instants. Package
// exhaustive takes one choice per step, most of which do not matter to a script, and leaves
// out stagers and fetches.
//
// What exists in a world, and what the cores do there, is in package world; the invariants
// are in package check and hold in scripts as well.
package scripted
