# Makes a file part of a program: cmake -D IN=FILE -D OUT=FILE.c -D NAME=NAME -P
# embed.cmake writes OUT, with the content of IN as the string NAME.
file(READ ${IN} bytes HEX)
string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${bytes}")
string(REGEX REPLACE "((\\\\x..)(\\\\x..)?(\\\\x..)?(\\\\x..)?(\\\\x..)?(\\\\x..)?(\\\\x..)?(\\\\x..)?)"
  "\"\\1\"\n" bytes "${bytes}")
file(WRITE ${OUT} "extern const char ${NAME}[];\n\
const char ${NAME}[] =\n${bytes};\n")
