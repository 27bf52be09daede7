// Package bench measures Laneway and, beside it, JetStream doing the same work.
//
// It starts the servers it needs as processes of their own, a fresh set for
// every measurement, and ends them and removes their data afterwards. What is
// counted is what was acknowledged, and that is compared with what the servers
// say they have: a measurement in which a record is missing is an error. It
// never changes what it does not own: of a Laneway that runs already it touches
// only a topic that it makes and deletes.
package bench
