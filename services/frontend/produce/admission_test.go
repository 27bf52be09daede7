package produce

import (
	"testing"

	"laneway.dev/pkg/protocol"
)

func TestAdmissionBoundsBatchesAndBytes(t *testing.T) {
	a := newAdmission(Limits{Bytes: 100, PartitionBytes: 60, PartitionBatches: 2})
	one, two := &share{of: a}, &share{of: a}
	mustTake := func(s *share, n int64) {
		t.Helper()
		if over := s.admit(n); over != nil {
			t.Fatal(over.Err)
		}
	}
	mustRefuse := func(s *share, n int64) {
		t.Helper()
		if over := s.admit(n); over == nil || over.Err.Code != protocol.CodeOverloaded || s.over(n) != over {
			t.Fatalf("%v, want OVERLOADED", over)
		}
	}
	mustTake(one, 40)
	mustRefuse(one, 30)
	mustTake(one, 10)
	mustRefuse(one, 1)
	mustRefuse(two, 60)
	mustTake(two, 50)
	if batches, bytes := a.held(); batches != 3 || bytes != 100 {
		t.Fatalf("held %d batches, %d bytes", batches, bytes)
	}
	drained := a.drained()
	one.release(40)
	one.release(10)
	select {
	case <-drained:
		t.Fatal("drained with a batch in flight")
	default:
	}
	two.release(50)
	<-drained
	<-a.drained()
}

func TestABatchLargerThanALimitIsAdmittedAlone(t *testing.T) {
	a := newAdmission(Limits{Bytes: 10, PartitionBytes: 10, PartitionBatches: 10})
	s := &share{of: a}
	if over := s.admit(1000); over != nil {
		t.Fatal(over.Err)
	}
	if s.admit(1) == nil {
		t.Fatal("a second batch was admitted beyond the limit")
	}
}
