package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

// authority signs certificates, which it writes to a directory.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir(), cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must.NoError(t, err)
	a.cert = a.sign(t, "ca.pem", a.cert, a.key)
	return a
}

// issue writes <name>.pem and <name>-key.pem for a host or a client.
func (a *authority) issue(t *testing.T, name string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must.NoError(t, err)
	a.sign(t, name+".pem", &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must.NoError(t, err)
	a.write(t, name+"-key.pem", "PRIVATE KEY", der)
}

func (a *authority) sign(t *testing.T, file string, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must.NoError(t, err)
	a.write(t, file, "CERTIFICATE", der)
	cert, err := x509.ParseCertificate(der)
	must.NoError(t, err)
	return cert
}

func (a *authority) write(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	must.NoError(t, os.WriteFile(a.path(file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func (a *authority) path(file string) string { return filepath.Join(a.dir, file) }

// config trusts the authority, and shows a certificate of its own.
func (a *authority) config(t *testing.T, name string) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.path(name+".pem"), a.path(name+"-key.pem"))
	must.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		ServerName: "hook.example", NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
	}
}

// answered is what there is to know of an answer.
type answered struct {
	status, protocol int
	serial           int64 // of the server's certificate
}

// Clients come in over TLS with certificates, and so does it to Nomad, by the names
// that nomad's own commands have for it. A renewed certificate is shown to the next one.
func TestServe_tls(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	for _, name := range []string{"hook.example", "server.global.nomad", "client"} {
		ca.issue(t, name, 2)
	}
	n := &nomad{Server: httptest.NewUnstartedServer(nil)}
	n.Config.Handler = n.noting(says(200, planned))
	n.TLS = ca.config(t, "server.global.nomad")
	n.StartTLS()
	t.Cleanup(n.Close)
	s := start(t, Config{
		TLS:   TLS{CertFile: ca.path("hook.example.pem"), KeyFile: ca.path("hook.example-key.pem"), ClientCAFile: ca.path("ca.pem")},
		Nomad: n.URL,
		NomadTLS: &api.TLSConfig{
			CACert: ca.path("ca.pem"), ClientCert: ca.path("client.pem"), ClientKey: ca.path("client-key.pem"), TLSServerName: "server.global.nomad",
		},
	})
	url := "https://" + s.Addr().String() + "/v1/jobs"
	ask := func(config *tls.Config) (answered, error) {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
		response, err := c.Do(request(t, http.MethodPut, url, strings.NewReader(inside(meshed(t)))))
		if err != nil {
			return answered{}, err
		}
		return answered{response.StatusCode, response.ProtoMajor, response.TLS.PeerCertificates[0].SerialNumber.Int64()}, response.Body.Close()
	}
	response, err := ask(ca.config(t, "client"))
	must.NoError(t, err)
	must.Eq(t, 200, response.status)
	must.Eq(t, 1, response.protocol, must.Sprint("HTTP/2 has no terminals"))
	got := n.one(t)
	isRewritten(t, got.body)
	must.Eq(t, "client", got.TLS.PeerCertificates[0].Subject.CommonName)

	stranger := ca.config(t, "client")
	stranger.Certificates = nil
	_, err = ask(stranger)
	must.Error(t, err)
	must.SliceEmpty(t, n.got())

	ca.issue(t, "hook.example", 3)
	response, err = ask(ca.config(t, "client"))
	must.NoError(t, err)
	must.Eq(t, int64(3), response.serial)
	must.NoError(t, os.WriteFile(ca.path("hook.example.pem"), []byte("half wri"), 0o600))
	response, err = ask(ca.config(t, "client"))
	must.NoError(t, err)
	must.Eq(t, int64(3), response.serial)
	must.StrContains(t, s.log.String(), "the certificate for clients cannot be read again, and the last one is used")
}
