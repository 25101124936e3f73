// Package certs is the hub's certificate authority and both sides of mutual TLS:
// a root and an issuing CA, certificates whose one URI name says who their owner
// is, the policy for certificate signing requests, and TLS 1.3 configurations
// that verify all of it. It needs nothing but the standard library.
//
// Names are SPIFFE IDs: spiffe://<trust domain>/node/<organisation>/<name>,
// spiffe://<trust domain>/hub/<name>, spiffe://<trust domain>/admin/<name>.
package certs
