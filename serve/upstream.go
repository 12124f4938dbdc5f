package serve

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"
)

// upstream is Nomad's HTTP API.
type upstream struct {
	name      string   // as the operator has written it
	target    *url.URL // scheme and host
	transport *http.Transport
}

// newUpstream reads an address as Nomad's commands take it, and what they take
// for TLS. Nothing waits for an answer but the client: blocking queries last minutes.
func newUpstream(address string, secured *api.TLSConfig) (*upstream, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	u := &upstream{name: address, transport: &http.Transport{
		DialContext:         dialer.DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		DisableCompression:  true, // the client says what it takes
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
	}}
	if path, ok := socketPath(address); ok {
		u.target = &url.URL{Scheme: "http", Host: "nomad"}
		u.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		}
		return u, nil
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	target, err := url.Parse(address)
	if err == nil && (target.Scheme != "http" && target.Scheme != "https" || target.Host == "") {
		err = errors.New("it is none")
	}
	shown := u.name
	if err == nil && (strings.Trim(target.Path, "/") != "" || target.User != nil || target.RawQuery != "") {
		err = errors.New("it is an address and no more: Nomad's API is at /v1 there, and has no passwords")
		shown = target.Redacted()
	}
	if err != nil {
		return nil, fmt.Errorf("-nomad: %q is where Nomad's HTTP API is, as http://127.0.0.1:4646, https://… or unix:///path: %w", shown, err)
	}
	u.target = &url.URL{Scheme: target.Scheme, Host: target.Host}
	if err := api.ConfigureTLS(&http.Client{Transport: u.transport}, secured); err != nil {
		return nil, fmt.Errorf("read the certificates for Nomad (NOMAD_CACERT, NOMAD_CAPATH, NOMAD_CLIENT_CERT, NOMAD_CLIENT_KEY): %w", err)
	}
	return u, nil
}

// isAt tells whether Nomad's address is the one that a listener has, as when
// NOMAD_ADDR leads to the hook already: each request would come back without end.
func (u *upstream) isAt(own net.Addr) bool {
	if path, ok := socketPath(u.name); ok {
		return own.Network() == "unix" && path == own.String()
	}
	at, err := netip.ParseAddrPort(own.String())
	port := cmp.Or(u.target.Port(), map[string]string{"http": "80", "https": "443"}[u.target.Scheme])
	if err != nil || port != strconv.Itoa(int(at.Port())) {
		return false
	}
	here := []string{at.Addr().Unmap().String()}
	switch ip := here[0]; {
	case ip == "127.0.0.1" || ip == "::1":
		here = append(here, "localhost")
	case at.Addr().IsUnspecified():
		here = append(here, "127.0.0.1", "::1", "localhost")
	}
	return slices.Contains(here, u.target.Hostname())
}

// socketPath is the path of an address that is a unix socket.
func socketPath(address string) (path string, ok bool) {
	if strings.HasPrefix(address, "/") {
		return address, true
	}
	path, ok = strings.CutPrefix(address, "unix:")
	return strings.TrimPrefix(path, "//"), ok
}
