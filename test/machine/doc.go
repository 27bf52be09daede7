// Package machine is what tests need of the machine on which they run: the binaries that make
// has built, free addresses of the loopback interface, and processes that end with their test.
package machine
