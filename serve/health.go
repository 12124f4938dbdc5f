package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// HealthPath is where the server itself answers; Nomad has nothing there.
const HealthPath = "/nomad-driver-connect/health"

// health answers 200 when jobs get through to Nomad, and else 503 with a sentence.
type health struct {
	nomad *upstream
}

// ServeHTTP implements http.Handler.
func (h health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.ask(r.Context()); err != nil {
		noteOf(r.Context()).reason = err.Error()
		answer(w, http.StatusServiceUnavailable, err.Error()+"\n")
		return
	}
	answer(w, http.StatusOK, "ok\n")
}

// ask has Nomad's agent say how it is, which wants no token.
func (h health) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.nomad.target.String()+"/v1/agent/health", nil)
	if err != nil {
		return err
	}
	response, err := h.nomad.transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("Nomad at %s does not answer: %w; is its agent running, and is -nomad its address?", h.nomad.name, err)
	}
	said, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return fmt.Errorf("Nomad at %s breaks off its answer: %w", h.nomad.name, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("Nomad at %s is not well (%s): %s", h.nomad.name, response.Status, said)
	}
	return nil
}
