package cloud

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"

	"laneway.dev/internal/objectstore"
)

// causeOfStatus returns the cause of a response of which only the status is known; nil if the
// status does not tell. A 404 alone does not mean that an object is missing: it may come from a
// server that has no objects at all.
func causeOfStatus(status int) error {
	switch {
	case status == http.StatusMovedPermanently, status == http.StatusTemporaryRedirect, status == http.StatusPermanentRedirect:
		return objectstore.ErrRegion
	case status == http.StatusUnauthorized:
		return objectstore.ErrCredentials
	case status == http.StatusForbidden:
		return objectstore.ErrDenied
	case status == http.StatusConflict:
		return objectstore.ErrConflict
	case status == http.StatusPreconditionFailed:
		return objectstore.ErrExists
	case status == http.StatusRequestedRangeNotSatisfiable:
		return errRange
	case status == http.StatusTooManyRequests:
		return objectstore.ErrThrottled
	case status == http.StatusInsufficientStorage:
		return objectstore.ErrFull
	case status == http.StatusNotImplemented:
		return nil // the server does not support the request, and a repetition does not help
	case status == http.StatusRequestTimeout, status >= http.StatusInternalServerError:
		return objectstore.ErrUnreachable
	}
	return nil
}

// causeOfConnection returns the cause of an error that is not a response of the server; nil if
// it is not about the connection.
func causeOfConnection(err error) error {
	switch {
	case isPlain(err):
		return objectstore.ErrNotTLS
	case isUntrusted(err):
		return objectstore.ErrTLS
	case errors.Is(err, context.Canceled):
		return nil
	case isBroken(err):
		return objectstore.ErrUnreachable
	}
	return nil
}

// isPlain reports whether TLS failed because the server does not use it.
func isPlain(err error) bool {
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return record || errors.Is(err, http.ErrSchemeMismatch)
}

// isUntrusted reports whether TLS failed for another reason that lasts, such as the certificate.
func isUntrusted(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		host        x509.HostnameError
		invalid     x509.CertificateInvalidError
		alert       tls.AlertError
	)
	return errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &host) ||
		errors.As(err, &invalid) || errors.As(err, &alert)
}

// isBroken reports whether a connection could not be made, was lost, or took too long.
func isBroken(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
