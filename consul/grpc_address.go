package consul

import (
	"cmp"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"nomad-driver-connect/bootstrap"
)

// DefaultGRPCPort is where an agent usually serves plain gRPC.
const DefaultGRPCPort = 8502

// GRPCPort is a port at which an agent serves gRPC.
type GRPCPort struct {
	Number  int
	TLS     bool
	Guessed bool // the agent does not tell: it is the usual one
}

// ErrNoGRPC is what is said of an agent that serves no gRPC.
var ErrNoGRPC = errors.New("has gRPC disabled, and Envoy takes its configuration over gRPC; set ports { grpc = 8502 } in the agent's configuration")

// GRPCPort chooses a port of those that the agent tells of. Of two, the consul
// command takes the one with TLS, which is of use only to who has a CA to verify
// the agent with.
func (s Self) GRPCPort(preferTLS bool) (GRPCPort, error) {
	plain, tls, legacy := s.XDS.Ports.Plaintext, s.XDS.Ports.TLS, s.DebugConfig.GRPCPort
	switch {
	case tls > 0 && (preferTLS || plain <= 0):
		return GRPCPort{Number: tls, TLS: true}, nil
	case plain > 0:
		return GRPCPort{Number: plain}, nil
	case legacy == nil || *legacy < 0:
		return GRPCPort{}, ErrNoGRPC
	case *legacy > 0:
		return GRPCPort{Number: *legacy}, nil
	}
	return UsualGRPCPort, nil
}

// UsualGRPCPort is that of an agent that does not tell its own.
var UsualGRPCPort = GRPCPort{Number: DefaultGRPCPort, Guessed: true}

// At is the port's address on a host, as CONSUL_GRPC_ADDR has it.
func (p GRPCPort) At(host string) string {
	scheme := "http://"
	if p.TLS {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, strconv.Itoa(p.Number))
}

// AddressError is a gRPC address that is none.
type AddressError struct{ Address, Reason string }

func (e *AddressError) Error() string {
	return fmt.Sprintf("%q is not the address of a gRPC endpoint (host:port, http(s)://host:port or unix://path): %s", e.Address, e.Reason)
}

// ParseGRPCAddress reads an address as CONSUL_GRPC_ADDR has it. Names are
// resolved here, since the bootstrap's cluster is a static one.
func ParseGRPCAddress(addr string) (bootstrap.Agent, error) {
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		if path == "" {
			return bootstrap.Agent{}, &AddressError{addr, "the path is missing"}
		}
		return bootstrap.Agent{Socket: path}, nil
	}
	rest, isTLS := strings.CutPrefix(addr, "https://")
	resolved, err := ResolveAddrPort(strings.TrimPrefix(rest, "http://"))
	if err != nil {
		return bootstrap.Agent{}, &AddressError{addr, err.Error()}
	}
	return bootstrap.Agent{AddrPort: resolved, TLS: isTLS}, nil
}

// ResolveAddrPort gives the address of "host:port", IPv4 before IPv6 as the
// consul command has it.
func ResolveAddrPort(hostPort string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return netip.AddrPort{}, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not a port between 0 and 65535", port)
	}
	if host == "" {
		return netip.AddrPort{}, fmt.Errorf("the host of %q is missing", hostPort)
	}
	ip, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("resolve %q: %w", host, err)
	}
	addr, _ := netip.AddrFromSlice(ip.IP)
	return netip.AddrPortFrom(addr.Unmap().WithZone(ip.Zone), uint16(number)), nil
}

// ReadCA reads the certificates of a file, or of all files below a directory
// in the order of their names; a file wins over a directory. None named is no
// error, the bootstrap's rules decide.
func ReadCA(file, dir string) (string, error) {
	from := cmp.Or(file, dir)
	if from == "" {
		return "", nil
	}
	bundle, err := readAll(from)
	if err != nil {
		return "", fmt.Errorf("read the CA certificates for Consul's gRPC endpoint: %w", err)
	}
	if block, _ := pem.Decode(bundle); block == nil {
		return "", fmt.Errorf("read the CA certificates for Consul's gRPC endpoint: there is none in PEM form in %s", from)
	}
	return string(bundle), nil
}

// readAll joins all files below a path, which may be one.
func readAll(path string) ([]byte, error) {
	var all []byte
	err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		all = append(all, content...)
		return err
	})
	return all, err
}
