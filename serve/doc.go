// Package serve stands before Nomad's HTTP API and has every job that is
// registered, planned or validated go through package hook on its way:
//
//	client ─▶ listener ─▶ access log ─┬─ health
//	                                  ├─ carries a job ─ read ─ rewrite ─┐
//	                                  └─ all else ───────────────────────┴─▶ Nomad
//	       ◀─ warnings of the hook ◀──────────────────────────────────────── answer
//
// What is no job passes as it is, in both directions and for as long as it
// takes. A job that the hook leaves alone passes byte for byte. In another one
// only what the hook changes is changed: fields that this program does not know,
// those of a newer Nomad, stay where they are (merge.go). Where that cannot be,
// the job is refused, or passed as it is when the operator wants that.
//
//	serve.go     the life of the server
//	listen.go    where clients come in, certificate.go with TLS
//	upstream.go  the way to Nomad
//	proxy.go     one request, and its answer
//	route.go     which requests carry a job; pure
//	body.go      what a request carries, within bounds
//	member.go    where a member of a JSON object is; pure
//	job.go       what becomes of a job; pure
//	merge.go     a change of a job put into its JSON; pure
//	identity.go  which entry of a list is which; pure
//	warnings.go  the hook's warnings among Nomad's
//	access_log.go, health.go
//
// Nothing of a request is kept, and of its headers and queries, where tokens
// are, nothing is logged.
package serve
