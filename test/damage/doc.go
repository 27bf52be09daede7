// Package damage alters, zeroes, cuts and deletes files of a data folder, starts
// Laneway on it, and checks that whatever was acknowledged is readable or reported
// as lost.
package damage
