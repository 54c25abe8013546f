// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package profile holds what legislators have decided, as data: the profiles
// that Vasistas ships, each figure with its legal source.
//
// # Contract
//
// A profile is a text file, in data or of one's own, that [Parse] compiles
// into the [event.Profile] that a charter carries. A figure can't be written
// without its source: they stand on one line. Nothing has a default: what a
// profile needs and a file does not say is an error, and what a law leaves out
// on purpose (no emergencies, nobody may say never, no total) is a line too,
// with the value none.
//
// The package promises that the figures are those of the files. That the files
// say what the law says, docs/profiles.md lets a reader check; a profile is no
// legal advice, and whoever founds a log answers for the one in its charter.
//
// # Format
//
// UTF-8, lines ended by LF. A line is empty, a comment (#), or columns
// separated by bars:
//
//	profile | de                                    its id; first
//	title   | text                                  what it is; once
//	rests   | law | text                            what a reader checks it against; any number
//	path    | value | source | note                 a figure; the note is optional
//
// A path names a member of the profile in docs/events.md, with a number for a
// step and a code for an instrument. Durations are whole numbers with a unit:
// s, m, h or d (86,400 seconds). Lists of codes are separated by spaces. An
// instrument is declared by a line with the value yes.
//
// # Sources
//
// A source is one of three, and says honestly which:
//
//   - a citation: the law states this figure, or this permission;
//   - "design, CITATION": the law asks for it and gives no figure, or one in a
//     unit that can't be counted in seconds (court days); the figure is ours;
//   - "design": no law; the machine needs it.
//
// In the charter a row of sources covers its path and everything below it,
// except what has a row of its own.
//
// # Months and years
//
// They have no fixed length, so each is rounded to the side of disclosure: a
// limit of secrecy, and the age from which a stricter rule holds, to the
// shortest such period (6 months: 181 days, 12 months: 365); the age from
// which something more is allowed to the longest (6 months: 184 days, 12
// months: 366, 5 years: 1,827).
package profile
