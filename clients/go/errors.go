package rerankd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const requestIDKey = "x-request-id"

// An Error says why a call, or one item of a batch, failed. Use [errors.As] to get it.
//
// The facts come from the `google.rpc` error details that the server sends with every failure; without them (no
// server, a proxy in between) Reason is the name of the code. A call that was cancelled or too late is also
// [context.Canceled] or [context.DeadlineExceeded] to [errors.Is].
type Error struct {
	// Code is the gRPC status code.
	Code codes.Code
	// Reason is the name of a rerankv1.ErrorReason without its prefix, such as MODEL_NOT_FOUND.
	Reason string
	// Message says what went wrong and what to do, in one or two sentences.
	Message string
	// Metadata holds everything that varies in Message.
	Metadata map[string]string
	// Fields are the offending fields of an invalid request.
	Fields []FieldViolation
	// Quota are the limits that a refused call exceeds.
	Quota []QuotaViolation
	// RetryAfter is the time after which a retry can succeed; 0 when the server gave no hint.
	RetryAfter time.Duration
	// RequestID finds the call in the server's log; empty when no server answered.
	RequestID string

	status *status.Status
}

// A FieldViolation is one field of the request that breaks a rule.
type FieldViolation struct {
	// Field is a path by proto names, such as `documents[3].text`.
	Field string
	// Description is the rule.
	Description string
}

// A QuotaViolation is one limit that a call exceeds.
type QuotaViolation struct {
	// Subject is the name of the limit.
	Subject string
	// Description says how it is exceeded.
	Description string
}

// Error returns the message and the reason.
func (e *Error) Error() string { return fmt.Sprintf("%s (%s)", e.Message, e.Reason) }

// GRPCStatus returns the status as it came, for [status.FromError] and [status.Code].
func (e *Error) GRPCStatus() *status.Status { return e.status }

// Unwrap returns the context's error that the code stands for, if any.
func (e *Error) Unwrap() error {
	switch e.Code {
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// errorOf returns the *Error of a failed call; nil for nil.
func errorOf(err error, trailer metadata.MD) error {
	if err == nil {
		return nil
	}
	found, _ := status.FromError(err)
	made := errorOfStatus(found)
	if ids := trailer.Get(requestIDKey); len(ids) > 0 {
		made.RequestID = ids[0]
	}
	return made
}

// errorOfStatus decodes the details of a status whose code is not OK.
func errorOfStatus(found *status.Status) *Error {
	made := &Error{Code: found.Code(), Reason: CodeName(found.Code()), Message: found.Message(), status: found}
	for _, detail := range found.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			made.Reason, made.Metadata = detail.GetReason(), detail.GetMetadata()
			made.RequestID = detail.GetMetadata()["request_id"]
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				made.Fields = append(made.Fields, FieldViolation{violation.GetField(), violation.GetDescription()})
			}
		case *errdetails.QuotaFailure:
			for _, violation := range detail.GetViolations() {
				made.Quota = append(made.Quota, QuotaViolation{violation.GetSubject(), violation.GetDescription()})
			}
		case *errdetails.RetryInfo:
			made.RetryAfter = detail.GetRetryDelay().AsDuration()
		}
	}
	if made.Message == "" {
		made.Message = CodeName(found.Code())
	}
	if strings.Contains(made.Message, "first record does not look like a TLS handshake") {
		made.Message += "; does the server want a connection without TLS?"
	}
	return made
}

// CodeName returns a code's name as the contract writes it: NOT_FOUND instead of NotFound.
func CodeName(code codes.Code) string {
	var name strings.Builder
	if code == codes.OK {
		return "OK"
	}
	for index, letter := range code.String() {
		if index > 0 && letter >= 'A' && letter <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteRune(letter)
	}
	return strings.Replace(strings.ToUpper(name.String()), "CANCELED", "CANCELLED", 1)
}
