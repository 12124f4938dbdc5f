// Command licenses says what is linked into the driver and under which licences:
//
//	licenses table          the table of docs/licenses.md
//	licenses notices        all licence texts, as they must go with the binary
//	licenses sbom FILE      adds the licences to a CycloneDX SBOM
//
// The Go tool says which packages are linked, and the licence of a package is the
// nearest licence file at or above it in its module: Nomad's module has several.
// A test holds docs/licenses.md to it.
//
//	modules.go (packages ─▶ modules with licence files) ─▶ text.go (text ─▶ SPDX)
//	   ─▶ table.go, notices.go, sbom.go
package main
