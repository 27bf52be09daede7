package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// Server is an HTTP server that listens. Its methods are safe for concurrent use.
type Server struct {
	http   *http.Server
	addr   string
	served chan struct{} // closed when the accept loop has ended
}

// Serve listens on addr, which has the form host:port, and returns. Requests are served until
// Shutdown. Port 0 stands for a free port. If addr is empty, nothing is served, and the methods
// of the Server do nothing. The error wraps [syscall.EADDRINUSE] if the port is in use.
func Serve(ctx context.Context, addr string, handler http.Handler, log *zap.Logger) (*Server, error) {
	if addr == "" {
		return &Server{}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another process listens on %s: stop it, or choose another --http: %w", addr, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot serve HTTP on %s: %w", addr, err)
	}
	s := &Server{
		http: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       time.Minute,
			ErrorLog:          zap.NewStdLog(log.Named("http")),
		},
		addr:   listener.Addr().String(),
		served: make(chan struct{}),
	}
	go s.serve(listener, log)
	return s, nil
}

func (s *Server) serve(listener net.Listener, log *zap.Logger) {
	defer close(s.served)
	if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Error("the HTTP server ended", zap.String("addr", s.addr), zap.Error(err))
	}
}

// Addr is the address that was taken, empty if nothing is served.
func (s *Server) Addr() string { return s.addr }

// Shutdown answers the requests under way and closes. When ctx ends first, it cuts them off.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.http == nil {
		return nil
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("closing the HTTP server on %s: %w", s.addr, err), s.http.Close())
	}
	<-s.served
	return err
}
