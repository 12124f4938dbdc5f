package consul

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// An agent that a job has named may be no Consul. It is kept from filling the memory of
// the plugin, which all tasks of the node share, and from sending a token elsewhere.

// Bounds of answers. Memory is filled by what a decoder makes of an answer, which is far
// more than its bytes where it consists of empty objects: these weigh more than one.
const (
	maxAnswer   = 64 << 20 // a node with 5,000 services has half of it
	maxFailure  = 4 << 10  // the words of one that failed
	maxHeaders  = 64 << 10
	objectCosts = 256
	itemCosts   = 16
)

// bound keeps a client to what an agent answers.
func bound(client *http.Client) {
	client.Transport = boundedTransport{client.Transport}
	client.CheckRedirect = stay
}

// stay follows nobody: Consul leads nowhere, and a token in a header of ours would go
// along to whomever.
func stay(to *http.Request, _ []*http.Request) error {
	const most = 300
	return fmt.Errorf("what answers there leads on to %.*q, and the token is not taken there; give that address itself, if it is Consul's", most, to.URL.Scheme+"://"+to.URL.Host)
}

type boundedTransport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxFailure), resp.Body}
	} else {
		resp.Body = &boundedBody{ReadCloser: resp.Body, path: req.URL.Path, left: maxAnswer}
	}
	return resp, nil
}

// boundedBody is an answer that ends in an error when it becomes too much.
type boundedBody struct {
	io.ReadCloser
	path string
	left int
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= n + objectCosts*bytes.Count(p[:n], []byte{'{'}) + itemCosts*bytes.Count(p[:n], []byte{','})
	if b.left < 0 {
		return 0, fmt.Errorf("the answer to %s is larger than any of Consul's: look at what answers at that address", b.path)
	}
	return n, err
}
