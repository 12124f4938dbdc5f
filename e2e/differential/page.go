package differential

import (
	"fmt"
	"strings"
)

const head = `# What the hook makes of a job, and what Nomad's own Connect makes of it

Both ways of %d jobs, which have every field of service, check, connect, network and
update, are registered with a real Nomad server: in bridge mode, where its own Connect
does them, and through the hook, on the host network. What the server then has differs
in what follows, and in nothing else. (%[2]s is anything, and - is nothing. Names are those of
Nomad's API; port[x] is a port of the group, and sidecar[x] what is said of a sidecar,
in the connect block or in the config of its task.) What the hook itself changes in
a job, in the words of job files:

` + "```sh\nbin/nomad-driver-connect hook -diff docs/migrate/native.nomad.hcl\n```\n\n"

// Page is the table for readers.
func Page() string {
	var page strings.Builder
	_, _ = fmt.Fprintf(&page, head, len(Jobs()), "`*`")
	page.WriteString("| what | in bridge mode | through the hook | why |\n|---|---|---|---|\n")
	for _, d := range Table() {
		_, _ = fmt.Fprintf(&page, "| `%s` | `%s` | `%s` | %s |\n", d.Name, d.Native, d.Ours, d.Why)
	}
	page.WriteString("\nOne way takes these jobs, or neither does:\n\n| job | Nomad, in bridge mode | the hook |\n|---|---|---|\n")
	for _, j := range Jobs() {
		if j.Native != "" || j.Refused != "" {
			_, _ = fmt.Fprintf(&page, "| %s | %s | %s |\n", j.Name, said(j.Native), said(j.Refused))
		}
	}
	return page.String()
}

func said(complaint string) string {
	if complaint == "" {
		return "takes it"
	}
	return "“… " + strings.ReplaceAll(complaint, "|", "\\|") + " …”"
}
