"""How fast is the classifier, on which device, in which scenario?"""
