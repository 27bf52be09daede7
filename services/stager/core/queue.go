package core

import (
	"slices"
	"time"
)

// queue holds the batches that wait for an upload. They are gathered into objects in the
// order of their arrival. Only the last object may be open; the others are full, or the
// batch after them did not fit.
type queue struct {
	bytes   int64 // limits of an object
	batches int

	objects []*Object
	waiting int          // batches
	lanes   map[lane]int // number of waiting batches of each lane that has some
}

// has reports whether a batch of a lane waits. A later batch of the lane that is returned inline
// would have to wait for it, and costs nothing if it is put into the same object.
func (q *queue) has(l lane) bool { return q.lanes[l] > 0 }

func (q *queue) empty() bool { return len(q.objects) == 0 }

func (q *queue) full(o *Object) bool { return o.Bytes >= q.bytes || len(o.Batches) >= q.batches }

// add puts a batch into the open object, or opens the next one. A batch larger than the
// limit gets its own object. following is about how many more batches the caller adds right
// after this one; it determines the capacity of a new object.
func (q *queue) add(b Batch, following int) {
	size := int64(len(b.Payload))
	open := q.open()
	if open == nil || open.Bytes+size > q.bytes {
		fitting := q.bytes/max(size, 1) + 1
		open = &Object{Batches: make([]Batch, 0, min(int64(following+1), int64(q.batches), fitting))}
		q.objects = append(q.objects, open)
	}
	open.Batches = append(open.Batches, b)
	open.Bytes += size
	q.waiting++
	if q.lanes == nil {
		q.lanes = make(map[lane]int)
	}
	q.lanes[laneOf(&b)]++
}

// open returns the object that may take another batch; nil if there is none.
func (q *queue) open() *Object {
	if len(q.objects) == 0 {
		return nil
	}
	if last := q.objects[len(q.objects)-1]; !q.full(last) {
		return last
	}
	return nil
}

// ready reports whether the first object may be uploaded: it is not open any more, or its
// oldest batch has waited for the linger.
func (q *queue) ready(now time.Time, linger time.Duration) bool {
	if len(q.objects) == 0 {
		return false
	}
	first := q.objects[0]
	return len(q.objects) > 1 || q.full(first) || now.Sub(first.Batches[0].Arrived) >= linger
}

// take removes the first object.
func (q *queue) take() *Object {
	first := q.objects[0]
	q.objects[0] = nil
	q.objects = q.objects[1:]
	q.waiting -= len(first.Batches)
	for i := range first.Batches {
		q.leave(&first.Batches[i])
	}
	return first
}

// leave counts a batch of a lane less.
func (q *queue) leave(b *Batch) {
	l := laneOf(b)
	if q.lanes[l]--; q.lanes[l] == 0 {
		delete(q.lanes, l)
	}
}

// drop removes the batches for which unwanted returns true.
func (q *queue) drop(unwanted func(*Batch) bool) {
	q.waiting = 0
	q.objects = slices.DeleteFunc(q.objects, func(o *Object) bool {
		o.drop(func(b *Batch) bool {
			if !unwanted(b) {
				return false
			}
			q.leave(b)
			return true
		})
		q.waiting += len(o.Batches)
		return len(o.Batches) == 0
	})
}
