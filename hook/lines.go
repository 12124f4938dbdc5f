package hook

import (
	"bytes"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/hashicorp/nomad/api"
)

// Locate gives findings the lines of a job's file that they are about, the job
// being what Parse made of it. JSON of Nomad's API has no lines: nobody writes it.
func Locate(source Source, job *api.Job, findings []Finding) []Finding {
	located := slices.Clone(findings)
	root := jobBlock(source)
	if root == nil {
		return located
	}
	for i, f := range located {
		located[i].Line = root.lineOf(job, f)
	}
	return located
}

// jobBlock is the job's block in the file; nil when there is none. What the file
// has that is no HCL has been told of by Parse.
func jobBlock(source Source) *block {
	var file *hcl.File
	if bytes.HasPrefix(bytes.TrimSpace(source.Body), []byte("{")) {
		file, _ = hcljson.Parse(source.Body, source.Path)
	} else {
		file, _ = hclsyntax.ParseConfig(source.Body, source.Path, hcl.InitialPos)
	}
	if file == nil || file.Body == nil {
		return nil
	}
	jobs := (&block{body: file.Body}).blocks("job", true)
	if len(jobs) != 1 {
		return nil
	}
	return jobs[0]
}

// lineOf follows a finding as far as the file goes along.
func (b *block) lineOf(job *api.Job, f Finding) int {
	group := b.child("group", f.Group)
	if group == nil {
		return 0
	}
	at := group
	if f.Task != "" {
		if at = group.child("task", f.Task); at == nil {
			return group.line
		}
	}
	if f.Service != "" {
		named := at
		if at = named.service(servicesOf(job, f), f.Service); at == nil {
			return named.line
		}
	}
	return at.follow(f.at)
}

// servicesOf are the names that the services of a finding's group or task have, in
// the order of the file.
func servicesOf(job *api.Job, f Finding) (names []string) {
	for _, g := range job.TaskGroups {
		if deref(g.Name) != f.Group {
			continue
		}
		services := g.Services
		for _, t := range g.Tasks {
			if t.Name == f.Task {
				services = t.Services
			}
		}
		for _, s := range services {
			names = append(names, serviceName(job, f.Group, s))
		}
	}
	return names
}

// service is the block of a service. The file may have its name with variables, and
// then its place among the others tells it.
func (b *block) service(names []string, name string) *block {
	services := b.blocks("service", false)
	isDynamic := func(s *block) bool { return s.dynamic }
	if i := slices.Index(names, name); i >= 0 && len(names) == len(services) && !slices.ContainsFunc(services, isDynamic) {
		return services[i]
	}
	return b.child("service", "name="+name)
}
