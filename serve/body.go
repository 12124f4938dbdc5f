package serve

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxBody bounds what a request with a job may have in its body, and what that may
// unpack to. Nomad has no bound of its own; its servers take jobs of a few dozen
// megabytes from each other.
const maxBody = 64 << 20

var errTooLarge = errors.New("the body is too large")

func tooLarge(limit int) error {
	return fmt.Errorf("%w: more than %d MB, which no job needs; move what is large out of the job, as into an artifact or a Nomad variable", errTooLarge, limit>>20)
}

// body is what a request carries. It can be handed on as it came, also when it
// was not read to its end.
type body struct {
	came  []byte // what was read, as it came
	rest  io.ReadCloser
	whole bool
	text  []byte // unpacked
}

// readBody reads a request's body. A packed one is unpacked for Nomad, which does
// not do that.
func readBody(r *http.Request, limit int) (*body, error) {
	came, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	b := &body{came: came, rest: r.Body}
	switch {
	case err != nil:
		return b, &unreadError{err}
	case len(came) > limit:
		return b, tooLarge(limit)
	}
	b.whole, b.text = true, came
	if strings.EqualFold(r.Header.Get("Content-Encoding"), "gzip") {
		b.text, err = unpack(came, limit)
	}
	return b, err
}

// unreadError is that of a client that went away, or that broke its own promises.
type unreadError struct{ err error }

func (e *unreadError) Error() string { return "read the request's body: " + e.err.Error() }

func (e *unreadError) Unwrap() error { return e.err }

func unpack(packed []byte, limit int) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack the gzip: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(reader, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("unpack the gzip: %w", err)
	}
	if len(text) > limit {
		return nil, tooLarge(limit)
	}
	return text, nil
}

func pack(text []byte) []byte {
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	_, err := writer.Write(text)
	if err = errors.Join(err, writer.Close()); err != nil {
		panic(err) // a buffer takes everything
	}
	return out.Bytes()
}

// asCame puts the body back into its request.
func (b *body) asCame(r *http.Request) {
	if b.whole {
		setBody(r, b.came)
		return
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(b.came), b.rest), b.rest}
}

// setBody gives a request a text for its body, which can be sent again when
// nothing of it has reached Nomad.
func setBody(r *http.Request, text []byte) {
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength = int64(len(text))
	r.TransferEncoding = nil
	r.Header.Del("Content-Length") // the field says it
	r.Header.Del("Expect")         // it has been answered
	if len(text) == 0 {
		r.Body, r.GetBody = http.NoBody, nil
	}
}
