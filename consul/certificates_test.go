package consul

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	must.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	must.NoError(t, err)
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// sign makes a pair for a name, which is that of a server and of a client.
func (a *authority) sign(name string, until time.Time) (cert, key []byte) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: until,
		DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	must.NoError(a.t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	must.NoError(a.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// secureAgent is one that wants certificates of its clients.
type secureAgent struct {
	*httptest.Server
	t      *testing.T
	dir    string
	client atomic.Value // the name in the latest client's certificate
	config atomic.Pointer[tls.Config]
}

func newSecureAgent(t *testing.T, ca *authority) *secureAgent {
	t.Helper()
	a := &secureAgent{t: t, dir: t.TempDir()}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.client.Store(r.TLS.PeerCertificates[0].Subject.CommonName)
		_, _ = io.WriteString(w, `{"ID": "web"}`)
	}))
	a.Config.ErrorLog = log.New(io.Discard, "", 0)
	a.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return a.config.Load(), nil }}
	a.trust(ca)
	a.StartTLS()
	t.Cleanup(a.Close)
	a.write("ca", ca.pem)
	a.pair(ca, "first", time.Now().Add(time.Hour))
	return a
}

// trust has the agent's own certificate signed by an authority, and those of its clients
// wanted of it.
func (a *secureAgent) trust(ca *authority) {
	cert, key := ca.sign("server.dc1.consul", time.Now().Add(time.Hour))
	pair, err := tls.X509KeyPair(cert, key)
	must.NoError(a.t, err)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	a.config.Store(&tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots})
}

// write replaces a file as tools do that renew certificates.
func (a *secureAgent) write(name string, content []byte) {
	a.t.Helper()
	path := a.path(name)
	must.NoError(a.t, os.WriteFile(path+".new", content, 0o600))
	must.NoError(a.t, os.Rename(path+".new", path))
}

func (a *secureAgent) path(name string) string { return filepath.Join(a.dir, name) }

func (a *secureAgent) pair(ca *authority, name string, until time.Time) {
	cert, key := ca.sign(name, until)
	a.write("cert", cert)
	a.write("key", key)
}

func (a *secureAgent) access() Config {
	return Config{Address: a.URL, TLS: api.TLSConfig{CAFile: a.path("ca"), CertFile: a.path("cert"), KeyFile: a.path("key"), Address: "server.dc1.consul"}}
}

// answers asks on a new connection, and wants the agent to have seen a client.
func (a *secureAgent) answers(c *Client, client string) {
	a.t.Helper()
	a.CloseClientConnections()
	_, err := c.Service(a.t.Context(), "web")
	must.NoError(a.t, err)
	must.Eq(a.t, client, a.client.Load().(string))
}

// New connections use certificates that were replaced while the plugin runs:
// the client's certificate, which may live for an hour, and the CA.
func TestCertificates(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	agent := newSecureAgent(t, ca)
	complaints := make(chan error, 10)
	pool := Pool{Complain: func(err error) { complaints <- err }}
	pooled, err := pool.Client(agent.access(), nil)
	must.NoError(t, err)
	t.Cleanup(pooled.Close)
	watch, err := pooled.separate()
	must.NoError(t, err)
	t.Cleanup(watch.Close)
	for _, c := range []*Client{pooled, watch} {
		agent.answers(c, "first")
	}

	agent.pair(ca, "second", time.Now().Add(time.Hour))
	for _, c := range []*Client{pooled, watch} {
		agent.answers(c, "second")
	}

	cert, key := ca.sign("third", time.Now().Add(time.Hour))
	agent.write("cert", cert) // the key is not there yet
	for _, c := range []*Client{pooled, watch, pooled} {
		agent.answers(c, "second")
	}
	must.Eq(t, 1, len(complaints))
	must.ErrorContains(t, <-complaints, "connections are made with those of before, until the files are whole")
	agent.write("key", key)
	agent.answers(pooled, "third")

	other := newAuthority(t)
	agent.trust(other)
	agent.CloseClientConnections()
	_, err = pooled.Service(t.Context(), "web")
	must.ErrorContains(t, err, "certificate signed by unknown authority")
	agent.write("ca", append(ca.pem, other.pem...))
	agent.pair(other, "fourth", time.Now().Add(time.Hour))
	agent.answers(pooled, "fourth")
	must.Eq(t, 0, len(complaints))
}

// A certificate that has ended is refused by the agent, and another in its place is taken
// without a restart of anything.
func TestCertificates_expired(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	agent := newSecureAgent(t, ca)
	agent.pair(ca, "short", time.Now().Add(-time.Second))
	c, err := New(agent.access())
	must.NoError(t, err)
	t.Cleanup(c.Close)
	_, err = c.Service(t.Context(), "web")
	must.ErrorContains(t, err, "certificate")
	agent.pair(ca, "long", time.Now().Add(time.Hour))
	agent.answers(c, "long")
}

// Somebody who accepts connections and says nothing is not waited for.
func TestCertificates_silent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	certs, err := readCertificates(api.TLSConfig{}, func(err error) { t.Error(err) })
	must.NoError(t, err)
	transport := &http.Transport{DialContext: (&net.Dialer{}).DialContext, TLSHandshakeTimeout: 20 * time.Millisecond}
	certs.secure(transport)
	_, err = transport.DialTLSContext(t.Context(), "tcp", l.Addr().String())
	must.ErrorIs(t, err, context.DeadlineExceeded)
	must.ErrorContains(t, err, l.Addr().String()+" accepts connections, and does not answer by TLS")
}

// The server is who is called, and not just somebody with a certificate.
func TestCertificates_serverName(t *testing.T) {
	t.Parallel()
	agent := newSecureAgent(t, newAuthority(t))
	for name, want := range map[string]string{"": "127.0.0.1", "server.dc2.consul": "server.dc2.consul"} {
		cfg := agent.access()
		cfg.TLS.Address = name
		c, err := New(cfg)
		must.NoError(t, err)
		t.Cleanup(c.Close)
		_, err = c.Service(t.Context(), "web")
		must.ErrorContains(t, err, "x509: ")
		must.ErrorContains(t, err, want)
	}
}

// Files that are none are found before anything is asked.
func TestCertificates_missing(t *testing.T) {
	t.Parallel()
	_, err := New(Config{TLS: api.TLSConfig{CAFile: "/nowhere/ca.pem"}})
	must.ErrorContains(t, err, "read the certificates for Consul: ")
	must.ErrorContains(t, err, "/nowhere/ca.pem")
	var pool Pool
	_, err = pool.Client(Config{TLS: api.TLSConfig{CertFile: "/nowhere/cert.pem"}}, nil)
	must.ErrorContains(t, err, "both client cert and client key must be provided")
}

// Requests to a unix socket share connections: blocking queries take a new one for a
// restart of the agent.
func TestClient_socket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "http.sock")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	must.NoError(t, err)
	var connections atomic.Int32
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ID": "web"}`) }),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		},
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Shutdown(context.WithoutCancel(t.Context())) })
	c, err := New(Config{Address: "unix://" + path})
	must.NoError(t, err)
	t.Cleanup(c.Close)
	for range 5 {
		_, err := c.Service(t.Context(), "web")
		must.NoError(t, err)
	}
	must.Eq(t, 1, connections.Load())
	must.Eq(t, "unix://"+path, c.Address())
}

// Envoys get the CA of now, however fresh the agent's last answer is.
func TestAgents_replacedCA(t *testing.T) {
	t.Parallel()
	agent := fake.StartConsul(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	c, err := New(Config{Address: agent.URL, GRPCCAFile: file})
	must.NoError(t, err)
	t.Cleanup(c.Close)
	var agents Agents
	for range 2 {
		ca := string(newAuthority(t).pem)
		must.NoError(t, os.WriteFile(file+".new", []byte(ca), 0o600))
		must.NoError(t, os.Rename(file+".new", file))
		for range 2 {
			info, err := agents.Info(t.Context(), c)
			must.NoError(t, err)
			must.Eq(t, ca, info.XDS.CAPEM)
		}
	}
	must.Eq(t, 2, agent.Requests("GET /v1/agent/self"))
}
