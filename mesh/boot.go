package mesh

// BootOf is the boot of the machine in which a registration of ours was made, or the
// process was started that it stands for; empty when that was not known.
func BootOf(meta map[string]string) string { return meta[MetaBootID] }
