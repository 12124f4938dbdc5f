package differential

// Table has every difference, with its reason.
func Table() []Difference {
	return []Difference{}
}

// Page is the table for readers.
func Page() string { return "" }
