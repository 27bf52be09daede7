// Package deployment runs Laneway as its users do: the binary that is shipped,
// in one process, or as a process for each role beside a plain NATS server.
//
// It owns the processes that it starts and ends each by its id. A Deployment
// belongs to the goroutine of its test.
package deployment
