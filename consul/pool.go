package consul

import (
	"fmt"
	"sync"
)

const (
	// maxConnections is how many connections all sidecars of a node may have to
	// its Consul agent. The agent refuses the 201st of one address
	// (limits.http_max_conns_per_client), and Nomad's agent has some of those.
	maxConnections = 16

	// maxRequests is how many requests are under way at a time; the node's watch has
	// the other connections.
	maxRequests = maxConnections - 4

	// idleConnection is how long one that nobody uses is kept.
	idleConnection = RequestTimeout
)

// Pool shares the connections to an agent among all clients with the same
// address and certificates. The zero value is ready.
type Pool struct {
	// Complain is told once when certificates that were read before cannot be read
	// anew; nil for nobody.
	Complain func(error)

	mu     sync.Mutex
	shared map[poolKey]*sharedAPI
}

// poolKey tells apart what cannot share a connection, or the library's client.
type poolKey struct {
	address, namespace, partition string
	tls                           string
}

type sharedAPI struct {
	client *library
	certs  *certificates
	slots  chan struct{}
	close  func()
	users  int
}

func keyOf(cfg Config) poolKey {
	return poolKey{cfg.Address, cfg.Namespace, cfg.Partition, fmt.Sprintf("%+v", cfg.TLS)}
}

// Client gives a client with tokens of its own; it does not connect. Closing
// it gives back its share. read may be nil: the tokens are then those of cfg for
// good.
func (p *Pool) Client(cfg Config, read ReadTokens) (*Client, error) {
	shared, err := p.join(cfg)
	if err != nil {
		return nil, err
	}
	c := newClient(cfg, shared.client, RequestTimeout)
	c.read, c.slots, c.certs = read, shared.slots, shared.certs
	c.close = sync.OnceFunc(func() { p.leave(keyOf(cfg)) })
	return c, nil
}

func (p *Pool) join(cfg Config) (*sharedAPI, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := keyOf(cfg)
	if known, ok := p.shared[key]; ok {
		known.users++
		return known, nil
	}
	certs, err := readCertificates(cfg.TLS, p.complain)
	if err != nil {
		return nil, err
	}
	conf := cfg.library()
	conf.Token = "" // each request names its own
	transport := cfg.transport(certs)
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = maxRequests, maxRequests
	transport.IdleConnTimeout = idleConnection
	client, err := open(cfg.Address, conf, transport)
	if err != nil {
		return nil, err
	}
	if p.shared == nil {
		p.shared = map[poolKey]*sharedAPI{}
	}
	p.shared[key] = &sharedAPI{client: client, certs: certs, slots: make(chan struct{}, maxRequests), close: transport.CloseIdleConnections, users: 1}
	return p.shared[key], nil
}

func (p *Pool) complain(err error) {
	if p.Complain != nil {
		p.Complain(err)
	}
}

func (p *Pool) leave(key poolKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	shared := p.shared[key]
	if shared.users--; shared.users > 0 {
		return
	}
	delete(p.shared, key)
	shared.close()
}
