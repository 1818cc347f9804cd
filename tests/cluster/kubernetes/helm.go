//go:build helm

package main

// Helm's program is a `package main`, which nothing can import but a file that is never built: this
// keeps its module, and what that needs, in go.mod.
import _ "helm.sh/helm/v3/cmd/helm"
