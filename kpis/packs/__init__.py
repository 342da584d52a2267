"""Packs: KPI systems as files. A folder per pack holds its fact kinds, its definitions in groups, and its programme.

files.pack("engineering-impact")                    what the files say
install.install(pack, editor, start=day)            puts into the database what is not there
reading.opened(pack, viewer, now)                   every KPI of it with figure, evidence and what is missing
"""
