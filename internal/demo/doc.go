// Package demo is what `sluice demo` fills a gateway with: a plan of products and a course, and the pictures, films and papers in it, which are
// drawn and written when they are asked for. It knows no gateway.
package demo
