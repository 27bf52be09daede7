package client

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

func TestAnyMessageEndsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const silence = 15 * time.Second
		s := &session{
			client: New(nil), progress: &progress{options: ConsumerOptions{Silence: silence}},
			arrived: make(chan *nats.Msg), silence: time.NewTimer(silence),
		}
		go func() {
			for range 100 {
				time.Sleep(silence - 1) //nolint:forbidigo // virtual time
				s.arrived <- new(nats.Msg)
			}
		}()
		for n := range 100 {
			if _, err := s.receive(t.Context()); err != nil {
				t.Fatalf("message %d: %v", n, err)
			}
		}
		begin := time.Now()
		_, err := s.receive(t.Context())
		again, ok := errors.AsType[*broken](err)
		if !ok || !errors.Is(again.err, protocol.NewError(protocol.CodeUnavailable, "")) || time.Since(begin) != silence {
			t.Errorf("error %v after %s", err, time.Since(begin))
		}
	})
}
