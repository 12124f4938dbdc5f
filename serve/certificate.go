package serve

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// TLS is what clients are met with; the zero value is without.
type TLS struct {
	CertFile, KeyFile string
	ClientCAFile      string // who signs the certificates that clients must have; empty when they need none
}

// config reads the files. Those of the certificate are read again for every
// connection: what renews them tells nobody.
func (t TLS) config(log hclog.Logger) (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	if t.CertFile == "" || t.KeyFile == "" {
		return nil, errors.New("-tls-cert and -tls-key belong together, and -tls-client-ca wants both; give the missing one")
	}
	first, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate for clients (-tls-cert, -tls-key): %w", err)
	}
	config := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"}, // as Nomad: terminals are websockets, which HTTP/2 has not
		GetCertificate: t.current(first, log),
	}
	if t.ClientCAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(t.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("read who signs the certificates of clients (-tls-client-ca): %w", err)
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("-tls-client-ca: there is no certificate in %s; it is a file in PEM", t.ClientCAFile)
	}
	return config, nil
}

// current gives the certificate as it is in the files, or the last good one.
func (t TLS) current(first tls.Certificate, log hclog.Logger) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	var last atomic.Pointer[tls.Certificate]
	last.Store(&first)
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		now, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			log.Warn("the certificate for clients cannot be read again, and the last one is used", "error", err)
			return last.Load(), nil
		}
		last.Store(&now)
		return &now, nil
	}
}
