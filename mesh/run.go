package mesh

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"nomad-driver-connect/consul"
)

// run does what Consul's agent does for a check, once. Its verdict is the agent's.
func run(ctx context.Context, target *consul.Target) verdict {
	if target.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, target.Timeout)
		defer cancel()
	}
	switch {
	case target.HTTP != "":
		return runHTTP(ctx, target)
	case target.GRPC != "":
		return verdictOn(runGRPC(ctx, target))
	}
	return verdictOn(runTCP(ctx, target))
}

func verdictOn(err error) verdict {
	if err != nil {
		return verdict{api.HealthCritical, err.Error()}
	}
	return verdict{api.HealthPassing, "it is well"}
}

func runTCP(ctx context.Context, target *consul.Target) error {
	dial := new(net.Dialer).DialContext
	if target.TCPUseTLS {
		dial = (&tls.Dialer{Config: tlsOf(target)}).DialContext
	}
	conn, err := dial(ctx, "tcp", target.TCP)
	if err != nil {
		return err
	}
	return conn.Close()
}

// checkAgent is how Consul's agent calls itself when it runs a check: apps may answer
// it otherwise than others.
const checkAgent = "Consul Health Check"

// mostOfAnswer is how much of an answer is read.
const mostOfAnswer = 4096

func runHTTP(ctx context.Context, target *consul.Target) verdict {
	req, err := http.NewRequestWithContext(ctx, target.Method, target.HTTP, strings.NewReader(target.Body))
	if err != nil {
		return verdictOn(err)
	}
	req.Header.Set("User-Agent", checkAgent)
	req.Header.Set("Accept", "text/plain, text/*, */*")
	for name, values := range target.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Host = req.Header.Get("Host")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: tlsOf(target)}}
	if target.DisableRedirects {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	resp, err := client.Do(req)
	if err != nil {
		return verdictOn(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, mostOfAnswer)) // the status says all
	return verdict{statusOf(resp.StatusCode), fmt.Sprintf("%s answers %s: %s", req.URL.Redacted(), resp.Status, firstLine(string(body)))}
}

// statusOf is what Consul makes of an HTTP status.
func statusOf(code int) string {
	switch {
	case code >= 200 && code < 300:
		return api.HealthPassing
	case code == http.StatusTooManyRequests:
		return api.HealthWarning
	}
	return api.HealthCritical
}

func runGRPC(ctx context.Context, target *consul.Target) error {
	address, service, _ := strings.Cut(target.GRPC, "/")
	creds := insecure.NewCredentials()
	if target.GRPCUseTLS {
		creds = credentials.NewTLS(tlsOf(target))
	}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostOfAnswer)))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: service})
	if err != nil {
		return err
	}
	if answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("it says of itself that it is %s", answer.GetStatus())
	}
	return nil
}

func tlsOf(target *consul.Target) *tls.Config {
	return &tls.Config{ServerName: target.TLSServerName, InsecureSkipVerify: target.TLSSkipVerify} //nolint:gosec // the job's check says so
}
