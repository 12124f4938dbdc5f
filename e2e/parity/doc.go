// Package parity says, case by case, what the bootstrap command does and how
// that compares with `consul connect envoy -bootstrap`. The table is read by
// two tests: one runs both commands on real agents, the other runs ours on
// what those agents answered (testdata), without any binary.
//
// cases*.go is the table and reads as documentation; fixtures.go is what is
// registered everywhere; golden.go records and replays.
package parity
