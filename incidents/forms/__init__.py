"""What people send from the incident pages, parsed. The rules are in lifecycle.py, clock.py and the actions.

fields      text, names, yes or no, a moment
core        Form, which every form of the pages is, and Happened, which may be back-dated
entries     the log, updates, corrections, questions
promises    milestones, and moving what they promise
phases      going on, resolving, reopening
people      calling teams, their answers, roles
facts       declaring, editing, the executive summary
reviews     learning reviews, follow-ups, the survey
links       incidents that belong together, and those of the past
"""
