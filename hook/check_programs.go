package hook

import (
	"path"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// localPrograms are those that ask nobody on the network.
var localPrograms = keys(
	"cat", "cd", "chgrp", "chmod", "chown", "cp", "date", "echo", "export", "gunzip", "gzip", "install", "ln", "ls", "mkdir",
	"mv", "printf", "rm", "sed", "set", "sleep", "tar", "test", "touch", "true", "umask", "unzip",
)

// asksNobody tells whether a task evidently uses no upstream, or tries until it
// gets one.
func asksNobody(t *api.Task) bool {
	command := append(texts(t.Config["entrypoint"]), texts(t.Config["command"])...)
	command = append(command, texts(t.Config["args"])...)
	if len(command) == 0 {
		return false
	}
	switch program := path.Base(command[0]); program {
	case "sh", "bash":
		return len(command) > 2 && strings.HasSuffix(command[1], "c") && scriptAsksNobody(command[2])
	default:
		return localPrograms[program]
	}
}

func scriptAsksNobody(script string) bool {
	ends := func(r rune) bool { return strings.ContainsRune(";&|\n", r) }
	for part := range strings.FieldsFuncSeq(script, ends) {
		words := strings.Fields(part)
		switch {
		case len(words) == 0:
		case words[0] == "until" || words[0] == "while":
			return true
		case !localPrograms[path.Base(words[0])]:
			return false
		}
	}
	return true
}
