package rerankd

import (
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // without it, grpc-go ignores healthCheckConfig
	"google.golang.org/grpc/keepalive"
)

// Version of this module, sent in the user agent.
const Version = "0.1.0"

const (
	defaultTimeout     = 30 * time.Second
	maxMessageBytes    = 64 * 1024 * 1024
	defaultMaxAttempts = 4
	keepaliveEvery     = 60 * time.Second
	keepaliveTimeout   = 20 * time.Second
)

//go:embed service_config.json
var serviceConfig string

// An Option changes how a [Client] connects and calls.
type Option func(*settings)

type settings struct {
	apiKey      string
	tls         *tls.Config
	timeout     time.Duration
	headers     []string
	userAgent   string
	maxAttempts int
	dialOptions []grpc.DialOption
}

// WithAPIKey sends `authorization: Bearer KEY` with every call. Default: RERANKD_API_KEY; empty: none is sent.
func WithAPIKey(key string) Option { return func(s *settings) { s.apiKey = key } }

// WithTLS encrypts the connection; an empty config trusts the system's roots. See [TLSFromFiles].
func WithTLS(config *tls.Config) Option { return func(s *settings) { s.tls = config } }

// WithTimeout is the deadline of calls whose context has none, except batches. Default 30 s; 0: none.
func WithTimeout(timeout time.Duration) Option { return func(s *settings) { s.timeout = timeout } }

// WithMetadata sends pairs of key and value with every call.
func WithMetadata(pairs ...string) Option {
	return func(s *settings) { s.headers = append(s.headers, pairs...) }
}

// WithUserAgent is put in front of this library's user agent.
func WithUserAgent(agent string) Option { return func(s *settings) { s.userAgent = agent } }

// WithMaxAttempts is how often a call is made that meets UNAVAILABLE, or CANCELLED by a server that stops: 1 (no
// retry) to 5. Default 4.
func WithMaxAttempts(attempts int) Option { return func(s *settings) { s.maxAttempts = attempts } }

// WithDialOptions adds options of grpc-go; they override this library's.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dialOptions = append(s.dialOptions, options...) }
}

// TLSFromFiles reads PEM files for [WithTLS]: the certificates that the server's must be signed by, and the chain
// and key that this client shows (mutual TLS). Empty names: the system's roots, and no certificate.
func TLSFromFiles(caFile, certFile, keyFile string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("rerankd: %s has no PEM certificate", caFile)
		}
	}
	if certFile != "" || keyFile != "" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func newSettings(options []Option) (*settings, error) {
	s := &settings{apiKey: os.Getenv(APIKeyVariable), timeout: defaultTimeout, maxAttempts: defaultMaxAttempts}
	for _, option := range options {
		option(s)
	}
	if len(s.headers)%2 != 0 {
		return nil, fmt.Errorf("rerankd: metadata comes in pairs of key and value, got %d strings", len(s.headers))
	}
	if s.maxAttempts < 1 || s.maxAttempts > 5 {
		return nil, fmt.Errorf("rerankd: the number of attempts must be 1 to 5, was %d", s.maxAttempts)
	}
	for index := 0; index < len(s.headers); index += 2 {
		s.headers[index] = strings.ToLower(s.headers[index])
	}
	if s.apiKey != "" {
		s.headers = append(s.headers, "authorization", "Bearer "+s.apiKey)
	}
	return s, nil
}

// dial returns the options of a connection; one that is not balanced calls servers that are not serving, too.
func (s *settings) dial(balanced bool) ([]grpc.DialOption, error) {
	agent := strings.TrimSpace(s.userAgent + " rerankd-go/" + Version)
	transport := insecure.NewCredentials()
	if s.tls != nil {
		transport = credentials.NewTLS(s.tls)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent(agent),
		grpc.WithResolvers(addressList("ipv4"), addressList("ipv6")),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageBytes),
			grpc.MaxCallSendMsgSize(maxMessageBytes),
			// A call is retried only if its request fits this buffer; gRPC's default is 256 KiB.
			grpc.MaxRetryRPCBufferSize(maxMessageBytes),
		),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveEvery, Timeout: keepaliveTimeout}),
		grpc.WithChainUnaryInterceptor(s.interceptUnary),
		grpc.WithChainStreamInterceptor(s.interceptStream),
	}
	if balanced {
		config, err := withMaxAttempts(serviceConfig, s.maxAttempts)
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.WithDefaultServiceConfig(config))
	}
	return append(options, s.dialOptions...), nil
}

// withMaxAttempts returns the policy of all clients with another number of attempts.
func withMaxAttempts(config string, attempts int) (string, error) {
	if attempts == defaultMaxAttempts {
		return config, nil
	}
	var policy map[string]any
	if err := json.Unmarshal([]byte(config), &policy); err != nil {
		return "", err
	}
	if attempts == 1 {
		delete(policy, "methodConfig")
		delete(policy, "retryThrottling")
	} else {
		for _, method := range policy["methodConfig"].([]any) {
			method.(map[string]any)["retryPolicy"].(map[string]any)["maxAttempts"] = attempts
		}
	}
	changed, err := json.Marshal(policy)
	return string(changed), err
}
