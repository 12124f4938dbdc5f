package mesh

// BootOf is the boot of the machine in which the process was started that a
// registration of ours stands for; empty before there is a process.
func BootOf(meta map[string]string) string { return meta[metaBootID] }
