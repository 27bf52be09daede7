package bench

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// stampBytes is what a record carries to be recognised: its producer and its
// number, counted from 0.
const stampBytes = 12

// recordMaker makes the records of one producer. It belongs to one goroutine.
type recordMaker struct {
	producer uint32
	next     uint64
	filling  []byte // random, twice as long as a record
	size     int
}

func newRecordMaker(producer, size int) *recordMaker {
	m := &recordMaker{producer: uint32(producer), filling: make([]byte, 2*size), size: size}
	source := rand.NewChaCha8([32]byte{byte(producer)})
	_, _ = source.Read(m.filling) // never fails
	return m
}

// fill makes the next record in value, which has the size of one.
func (m *recordMaker) fill(value []byte) {
	copy(value, m.filling[int(m.next)%m.size:])
	binary.BigEndian.PutUint32(value, m.producer)
	binary.BigEndian.PutUint64(value[4:], m.next)
	m.next++
}

// checker sees that the records of every producer come completely and in order.
// It belongs to one goroutine.
type checker struct {
	size    int
	next    map[uint32]uint64
	records int64
}

func newChecker(size int) *checker { return &checker{size: size, next: make(map[uint32]uint64)} }

// record takes the next record that came.
func (c *checker) record(value []byte) error {
	if len(value) != c.size {
		return fmt.Errorf("record %d came back with %d bytes instead of %d", c.records, len(value), c.size)
	}
	producer, number := binary.BigEndian.Uint32(value), binary.BigEndian.Uint64(value[4:])
	if number != c.next[producer] {
		return fmt.Errorf("of producer %d came record %d, %d was expected", producer, number, c.next[producer])
	}
	c.next[producer]++
	c.records++
	return nil
}

// several takes records that came in one message.
func (c *checker) several(data []byte) error {
	if len(data) == 0 || len(data)%c.size != 0 {
		return fmt.Errorf("a message of %d bytes is not made of records of %d", len(data), c.size)
	}
	for ; len(data) > 0; data = data[c.size:] {
		if err := c.record(data[:c.size]); err != nil {
			return err
		}
	}
	return nil
}
