package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

var sums = []struct {
	operator, a, b string
	status         int
	answer, error  string
}{
	{operator: "add", a: "1", b: "2", status: 200, answer: "3"},
	{operator: "sub", a: "1", b: "2", status: 200, answer: "-1"},
	{operator: "add", a: "-7", b: "3", status: 200, answer: "-4"},
	{operator: "sub", a: "-7", b: "-3", status: 200, answer: "-4"},
	{operator: "add", a: "0.1", b: "0.2", status: 200, answer: "0.3"},
	{operator: "sub", a: ".5", b: "+1.", status: 200, answer: "-0.5"},
	{operator: "add", a: "12345678901234567890.00000000000000000001", b: "1", status: 200, answer: "12345678901234567891.00000000000000000001"},
	{operator: "add", a: strings.Repeat("9", 100), b: "1", status: 200, answer: "1" + strings.Repeat("0", 100)},
	{operator: "add", a: " 1 ", b: "2", status: 200, answer: "3"},
	{operator: "add", a: "one", b: "2", status: 400, error: "a is no number: 'one'; write it like 12 or -0.5."},
	{operator: "sub", a: "1", b: "1e9", status: 400, error: "b is no number: '1e9'"},
	{operator: "sub", a: "1", b: "1,5", status: 400, error: "b is no number: '1,5'"},
	{operator: "add", a: "1", b: `"\<é` + "\n", status: 400, error: `b is no number: '"\<é'`},
	{operator: "add", a: "NaN", b: "1", status: 400, error: "a is no number: 'NaN'"},
	{operator: "add", a: "", b: "1", status: 400, error: "Give a number as a, like 12 or -0.5."},
	{operator: "add", a: strings.Repeat("9", 101), b: "1", status: 400, error: "The number a has 101 digits; 100 are the most."},
	{operator: "constructor", a: "1", b: "2", status: 404, error: "There is no /api/constructor;"},
	{operator: "/", a: "1", b: "2", status: 404, error: "There is no /api//;"},
	{operator: "mul", a: "1", b: "2", status: 404, error: "There is no /api/mul; there are /, /api/add?a=1&b=2 and /api/sub?a=1&b=2."},
}

// computes looks at the answers, and at the way that they took.
func (c *calculator) computes(t *testing.T) {
	t.Helper()
	for _, s := range sums {
		status, answer, err := c.compute(t.Context(), s.operator, s.a, s.b)
		must.NoError(t, err)
		must.Eq(t, s.status, status, must.Sprintf("%+v", answer))
		must.Eq(t, s.answer, answer.Answer)
		must.StrContains(t, answer.Error, s.error)
		if s.status == http.StatusNotFound {
			continue
		}
		var way []string
		for _, hop := range answer.Path {
			way = append(way, hop.Service+" from "+hop.Caller)
		}
		must.Eq(t, []string{"api-gateway from ", "frontend from api-gateway", s.operator + "-svc from frontend"}, way)
	}
}
