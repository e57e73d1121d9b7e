// Package conformance_test judges the built binary as a stranger would: by the standards (tus 1.0.0, RFC 9110, 9111, 6266, 8187, 9457,
// OpenAPI 3.1) and by what contracts with the LMS say, over HTTP and the command line alone. It knows nothing of how anything is built.
package conformance_test
