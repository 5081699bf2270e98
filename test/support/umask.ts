// What a test makes for the user that Postgres runs as must be there for that user, whatever umask the run came with.
process.umask(0o022)
