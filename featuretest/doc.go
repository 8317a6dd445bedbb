// Package featuretest holds the features of Sluice, each by a file in testdata:
// objects go in, requests pass through the whole program, and responses and
// statuses come out. Nothing is faked but the world around: the network is in
// memory, time is that of the test, and the backends are `sluice echo`.
//
// # A file
//
// A file is a txtar archive. It begins with a sentence that says what it
// holds. Its parts are carried out from top to bottom:
//
//   - NAME.yaml has objects that are applied, beside those in base.yaml: the
//     Gateway "demo" at 10.0.0.1:80, and the Services web, web-v2 and api, each
//     with an endpoint that answers with its name.
//   - delete has the keys of objects that are deleted, one a line, as in
//     "HTTPRoute default/demo".
//   - requests has exchanges with an empty line between them.
//   - status has conditions that must be there, one a line, as in
//     "HTTPRoute default/demo: parent Gateway demo: Accepted=True Accepted". The
//     beginning of one is enough.
//
// # An exchange
//
// The first character says who speaks:
//
//	> GET http://shop.example/cart    the client's request; then its fields
//	> env: canary
//	= web GET /cart                   the backend that got it, and what it got; then fields
//	= env: canary                     (Protocol is what it was spoken to in)
//	< 200                             the client's response; then fields
//	< server: !                       "!" wants a field to be absent
//
// The request goes to 10.0.0.1:80, or to the address after "@" in its first
// line. That of an https URL goes to 10.0.0.1:443 in TLS, with the URL's host for
// the server name, or with the one after "sni="; the response then has a field
// Certificate with the first name of the certificate that was shown, and "<
// refused ALERT" wants the handshake to be refused. "> [text" gives it a body. ">> " begins lines that are sent as they are,
// each with CRLF behind it. "= none" wants no backend to have got anything.
// "< 504 after 1s" wants the answer to come then. "x 10" in front of everything
// repeats the exchange; "= web 9" then counts the requests that a backend got.
package featuretest
