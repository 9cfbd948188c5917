package rerankd

import (
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc/resolver"
)

const (
	// DefaultAddress is called where neither [New] nor the environment names one.
	DefaultAddress = "127.0.0.1:50051"
	// AddressVariable is the environment variable that [New] reads when its target is empty.
	AddressVariable = "RERANKD_ADDRESS"
	// APIKeyVariable is the environment variable that [New] reads without [WithAPIKey].
	APIKeyVariable = "RERANKD_API_KEY"

	defaultPort = "50051"
)

var (
	balancedSchemes = []string{"dns:", "ipv4:", "ipv6:", "xds:"}
	schemes         = append([]string{"unix:", "unix-abstract:", "vsock:", "passthrough:"}, balancedSchemes...)
)

// resolveTarget returns the gRPC target of an address and adds the port where there is none.
func resolveTarget(address string) (string, error) {
	if address == "" {
		address = os.Getenv(AddressVariable)
	}
	if address == "" {
		address = DefaultAddress
	}
	if hasScheme(address, schemes) {
		return address, nil
	}
	if strings.Contains(address, "://") {
		return "", fmt.Errorf("rerankd: %q is not a gRPC address; write host:port, such as %s, "+
			"and ask for an encrypted connection with WithTLS", address, DefaultAddress)
	}
	if strings.Count(address, ":") > 1 && !strings.HasPrefix(address, "[") {
		address = "[" + address + "]"
	}
	if !strings.Contains(address[strings.LastIndex(address, "]")+1:], ":") {
		address += ":" + defaultPort
	}
	return address, nil
}

// checksHealth tells whether health is checked of a target. Behind a proxy, which a plain host:port may be, the watch would
// be that of one replica: its drain would end all calls through the proxy.
func checksHealth(target string) bool { return hasScheme(target, balancedSchemes) }

func hasScheme(address string, schemes []string) bool {
	for _, scheme := range schemes {
		if strings.HasPrefix(address, scheme) {
			return true
		}
	}
	return false
}

// addressList resolves targets such as `ipv4:10.0.0.1:50051,10.0.0.2:50051`, which grpc-go, unlike gRPC's other
// implementations, does not know.
type addressList string

func (scheme addressList) Scheme() string { return string(scheme) }

func (addressList) Build(target resolver.Target, connection resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	var endpoints []resolver.Endpoint
	for _, address := range strings.Split(target.Endpoint(), ",") {
		endpoints = append(endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: address}}})
	}
	return fixed{}, connection.UpdateState(resolver.State{Endpoints: endpoints})
}

// OverrideAuthority names the server that certificates are compared with: the first address.
func (addressList) OverrideAuthority(target resolver.Target) string {
	first, _, _ := strings.Cut(target.Endpoint(), ",")
	return first
}

// fixed is the resolver of addresses that do not change.
type fixed struct{}

func (fixed) ResolveNow(resolver.ResolveNowOptions) {}
func (fixed) Close()                                {}
