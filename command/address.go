package command

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-sockaddr/template"
)

const defaultGatewayPort = 8443

// addressFlag is a gateway's address; zero when it was not given.
type addressFlag struct{ given api.ServiceAddress }

// Set implements flag.Value.
func (a *addressFlag) Set(text string) (err error) {
	a.given, err = parseAddress(text)
	return err
}

// String implements flag.Value.
func (a *addressFlag) String() string {
	value := a.value()
	return net.JoinHostPort(value.Address, strconv.Itoa(value.Port))
}

func (a *addressFlag) value() api.ServiceAddress {
	if a == nil || a.given == (api.ServiceAddress{}) {
		return api.ServiceAddress{Port: defaultGatewayPort}
	}
	return a.given
}

// ready is where an ingress gateway answers GET /ready.
func (a *addressFlag) ready() (netip.AddrPort, error) {
	value := a.value()
	if value.Address == "" {
		value.Address = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(value.Address)
	if err != nil || ip.Zone() != "" || value.Port < 0 || value.Port > 65535 {
		return netip.AddrPort{}, fmt.Errorf("-address: %q is not ip:port, and an ingress gateway answers GET /ready there; Envoy binds to IP addresses only", a)
	}
	return netip.AddrPortFrom(ip, uint16(value.Port)), nil
}

// parseAddress reads "host:port", or an IP address alone, both of which may
// come out of a go-sockaddr template.
func parseAddress(text string) (api.ServiceAddress, error) {
	plain, err := template.Parse(text)
	if err != nil {
		return api.ServiceAddress{}, fmt.Errorf("%q is no go-sockaddr template: %w", text, err)
	}
	host, port, err := net.SplitHostPort(plain)
	var incomplete *net.AddrError
	if errors.As(err, &incomplete) && incomplete.Err == "missing port in address" && net.ParseIP(plain) != nil {
		return api.ServiceAddress{Address: plain, Port: defaultGatewayPort}, nil
	}
	if err != nil {
		return api.ServiceAddress{}, fmt.Errorf("%q is not an IP address or host:port: %w", plain, err)
	}
	if port == "" {
		return api.ServiceAddress{Address: host, Port: defaultGatewayPort}, nil
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return api.ServiceAddress{}, fmt.Errorf("%q has no number for a port", plain)
	}
	return api.ServiceAddress{Address: host, Port: number}, nil
}

// addressMapFlag are addresses by name.
type addressMapFlag map[string]api.ServiceAddress

// Set implements flag.Value.
func (m *addressMapFlag) Set(text string) error {
	name, address, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf(`%q has no "=": it is name=ip:port`, text)
	}
	value, err := parseAddress(address)
	if err != nil {
		return err
	}
	if *m == nil {
		*m = addressMapFlag{}
	}
	(*m)[name] = value
	return nil
}

// String implements flag.Value.
func (m *addressMapFlag) String() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(*m)) {
		out = append(out, fmt.Sprintf("%s=%s", name, net.JoinHostPort((*m)[name].Address, strconv.Itoa((*m)[name].Port))))
	}
	return strings.Join(out, ",")
}
