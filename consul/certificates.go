package consul

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/files"
)

// certificates are those that connections to an agent are made with. They are read
// anew when their files are others: a client certificate may live for an hour, and a
// connection that is made after its end would be refused.
type certificates struct {
	files    api.TLSConfig
	complain func(error) // about files that cannot be used

	mu     sync.Mutex
	seen   [4]files.Stamp
	config *tls.Config // of what was seen; nil before
	told   bool        // that the files cannot be used
}

// readCertificates reads them for the first time.
func readCertificates(files api.TLSConfig, complain func(error)) (*certificates, error) {
	c := &certificates{files: files, complain: complain}
	_, _, err := c.now()
	return c, err
}

// now gives the settings of the next connection, and tells whether they are others than
// those of the one before. Files that cannot be used, as when they are half written, leave
// what there is in place.
func (c *certificates) now() (config *tls.Config, changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.look()
	if c.config != nil && seen == c.seen {
		return c.config, false, nil
	}
	config, err = api.SetupTLSConfig(&c.files)
	switch {
	case err == nil:
		changed = c.config != nil
		c.seen, c.config, c.told = seen, config, false
	case c.config == nil:
		return nil, false, fmt.Errorf("read the certificates for Consul: %w", err)
	case !c.told:
		c.told = true
		c.complain(fmt.Errorf("read the certificates for Consul anew: %w; connections are made with those of before, until the files are whole", err))
	}
	return c.config, changed, nil
}

func (c *certificates) look() (seen [4]files.Stamp) {
	for i, path := range []string{c.files.CAFile, c.files.CAPath, c.files.CertFile, c.files.KeyFile} {
		seen[i] = files.StampOf(path)
	}
	return seen
}

// secure has the connections of a transport made with the certificates of now. Those that
// nobody uses are closed when these are others.
func (c *certificates) secure(transport *http.Transport) {
	dial := transport.DialContext
	transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		config, changed, err := c.now()
		if err != nil {
			return nil, err
		}
		if changed {
			transport.CloseIdleConnections()
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		// The transport bounds the handshakes of its own connections only.
		ctx, cancel := context.WithTimeout(ctx, transport.TLSHandshakeTimeout)
		defer cancel()
		secured := tls.Client(conn, named(config, address))
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			if errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("the agent at %s accepts connections, and does not answer by TLS: %w", address, err)
			}
			return nil, err // as it is: the library knows an answer without TLS by its type
		}
		return secured, nil
	}
}

// named wants the server to be who is called, unless the settings name another.
func named(config *tls.Config, address string) *tls.Config {
	config = config.Clone()
	if host, _, err := net.SplitHostPort(address); err == nil && config.ServerName == "" {
		config.ServerName = host
	}
	return config
}
